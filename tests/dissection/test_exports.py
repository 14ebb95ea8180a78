from __future__ import annotations

from types import ModuleType

import tailscope.dissection as room


def test_the_public_list_names_everything_exported() -> None:
    exported = [name for name, value in vars(room).items() if name[0] != "_" and not isinstance(value, ModuleType)]
    assert sorted(room.__all__) == sorted(exported)
