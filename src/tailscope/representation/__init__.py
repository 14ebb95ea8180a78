"""Did the features change, or only the head?

Comes in: features (N, D) or activations of the same images from several runs, labels, patients, the weights of the heads.
Goes out: similarity of layers (linear CKA), matched units, balanced linear probes, swapped heads, geometry of the
classes, effective rank. May import: core, models, performance; no torch is needed here.
"""

__all__: list[str] = []
