"""The works that a methods section may cite; a DOI stands where it is certain (arXiv's are made from their number)."""

from __future__ import annotations

from tailscope.report.references import Reference


def _arxiv(key: str, authors: str, year: int, title: str, venue: str, number: str) -> Reference:
    """A work known by its arXiv number; published in ``venue``, which may be empty."""
    kind = "inproceedings" if venue else "misc"
    return Reference(key, authors, year, title, venue or "arXiv preprint", f"10.48550/arXiv.{number}", kind)


def _talk(key: str, authors: str, year: int, title: str, venue: str, doi: str = "") -> Reference:
    """A work in proceedings."""
    return Reference(key, authors, year, title, venue, doi, "inproceedings")


_STUDIES = (
    _arxiv("khakzar2022", "Khakzar A; Li Y; Zhang Y; Sanisoglu M; Kim ST; Rezaei M; Bischl B; Navab N", 2022,
           "Analyzing the effects of handling data imbalance on learned features from medical images by looking into "
           "the models", "ICML Workshop on Interpretable Machine Learning in Healthcare", "2204.01729"),
    _talk("wang2017", "Wang X; Peng Y; Lu L; Lu Z; Bagheri M; Summers RM", 2017, "ChestX-ray8: hospital-scale chest "
          "X-ray database and benchmarks on weakly-supervised classification and localization of common thorax "
          "diseases", "CVPR", "10.1109/CVPR.2017.369"),
    _talk("irvin2019", "Irvin J; Rajpurkar P; Ko M; Yu Y; et al.", 2019, "CheXpert: a large chest radiograph dataset "
          "with uncertainty labels and expert comparison", "AAAI", "10.1609/aaai.v33i01.3301590"),
    _arxiv("naruenatthanaset2021", "Naruenatthanaset K; Chalidabhongse TH; Palasuwan D; Anantrasirichai N; "
           "Palasuwan A", 2021, "Red blood cell segmentation with overlapping cell separation and classification on "
           "imbalanced dataset", "", "2012.01321"),
    _talk("sechidis2011", "Sechidis K; Tsoumakas G; Vlahavas I", 2011, "On the stratification of multi-label data",
          "ECML PKDD", "10.1007/978-3-642-23808-6_10"),
)  # fmt: skip

_DATA_SETS = (
    Reference("aldhabyani2020", "Al-Dhabyani W; Gomaa M; Khaled H; Fahmy A", 2020, "Dataset of breast ultrasound "
              "images", "Data in Brief", "10.1016/j.dib.2019.104863"),
    Reference("lee2017", "Lee RS; Gimenez F; Hoogi A; Miyake KK; Gorovoy M; Rubin DL", 2017, "A curated mammography "
              "data set for use in computer-aided detection and diagnosis research", "Scientific Data",
              "10.1038/sdata.2017.177"),
    _arxiv("liu2020det", "Liu J; Lian J; Yu Y", 2020, "ChestX-Det10: chest X-ray dataset on detection of thoracic "
           "abnormalities", "", "2006.10550"),
    _arxiv("cohen2020", "Cohen JP; Morrison P; Dao L; et al.", 2020, "COVID-19 image data collection: prospective "
           "predictions are the future", "", "2006.11988"),
    Reference("tschandl2018", "Tschandl P; Rosendahl C; Kittler H", 2018, "The HAM10000 dataset, a large collection of "
              "multi-source dermatoscopic images of common pigmented skin lesions", "Scientific Data",
              "10.1038/sdata.2018.161"),
    Reference("porwal2018", "Porwal P; Pachade S; Kamble R; et al.", 2018, "Indian diabetic retinopathy image dataset "
              "(IDRiD): a database for diabetic retinopathy screening research", "Data", "10.3390/data3030025"),
    Reference("yang2023", "Yang J; Shi R; Wei D; et al.", 2023, "MedMNIST v2: a large-scale lightweight benchmark for "
              "2D and 3D biomedical image classification", "Scientific Data", "10.1038/s41597-022-01721-8"),
    _arxiv("johnson2019", "Johnson AEW; Pollard TJ; Greenbaum NR; et al.", 2019, "MIMIC-CXR-JPG, a large publicly "
           "available database of labeled chest radiographs", "", "1901.07042"),
    Reference("bustos2020", "Bustos A; Pertusa A; Salinas JM; de la Iglesia-Vayá M", 2020, "PadChest: a large chest "
              "x-ray image dataset with multi-label annotated reports", "Medical Image Analysis",
              "10.1016/j.media.2020.101797"),
    _arxiv("castro2024", "Castro DC; Bustos A; Bannur S; et al.", 2024, "PadChest-GR: a bilingual chest X-ray "
           "dataset for grounded radiology report generation", "", "2411.05085"),
    Reference("shih2019", "Shih G; Wu CC; Halabi SS; et al.", 2019, "Augmenting the National Institutes of Health "
              "chest radiograph dataset with expert annotations of possible pneumonia",
              "Radiology: Artificial Intelligence", "10.1148/ryai.2019180041"),
    _talk("liu2020tb", "Liu Y; Wu YH; Ban Y; Wang H; Cheng MM", 2020, "Rethinking computer-aided tuberculosis "
          "diagnosis", "CVPR"),
    Reference("nguyen2022", "Nguyen HQ; Lam K; Le LT; et al.", 2022, "VinDr-CXR: an open dataset of chest X-rays with "
              "radiologist's annotations", "Scientific Data", "10.1038/s41597-022-01498-w"),
)  # fmt: skip

_NETWORKS = (
    _talk("he2016", "He K; Zhang X; Ren S; Sun J", 2016, "Deep residual learning for image recognition", "CVPR",
          "10.1109/CVPR.2016.90"),
    _talk("huang2017", "Huang G; Liu Z; van der Maaten L; Weinberger KQ", 2017, "Densely connected convolutional "
          "networks", "CVPR", "10.1109/CVPR.2017.243"),
    _arxiv("dosovitskiy2021", "Dosovitskiy A; Beyer L; Kolesnikov A; et al.", 2021, "An image is worth 16x16 words: "
           "transformers for image recognition at scale", "ICLR", "2010.11929"),
    Reference("wightman2019", "Wightman R", 2019, "PyTorch image models", "GitHub", "10.5281/zenodo.4414861", "misc"),
    _arxiv("kingma2015", "Kingma DP; Ba J", 2015, "Adam: a method for stochastic optimization", "ICLR", "1412.6980"),
    _arxiv("loshchilov2019", "Loshchilov I; Hutter F", 2019, "Decoupled weight decay regularization", "ICLR",
           "1711.05101"),
    _arxiv("loshchilov2017", "Loshchilov I; Hutter F", 2017, "SGDR: stochastic gradient descent with warm restarts",
           "ICLR", "1608.03983"),
    _arxiv("paszke2019", "Paszke A; Gross S; Massa F; et al.", 2019, "PyTorch: an imperative style, high-performance "
           "deep learning library", "NeurIPS", "1912.01703"),
    Reference("harris2020", "Harris CR; Millman KJ; van der Walt SJ; et al.", 2020, "Array programming with NumPy",
              "Nature 585:357-362", "10.1038/s41586-020-2649-2"),
    Reference("virtanen2020", "Virtanen P; Gommers R; Oliphant TE; et al.", 2020, "SciPy 1.0: fundamental algorithms "
              "for scientific computing in Python", "Nature Methods 17:261-272", "10.1038/s41592-019-0686-2"),
)  # fmt: skip

_TREATMENTS = (
    _talk("lin2017", "Lin TY; Goyal P; Girshick R; He K; Dollár P", 2017, "Focal loss for dense object detection",
          "ICCV", "10.1109/ICCV.2017.324"),
    _talk("cui2019", "Cui Y; Jia M; Lin TY; Song Y; Belongie S", 2019, "Class-balanced loss based on effective number "
          "of samples", "CVPR", "10.1109/CVPR.2019.00949"),
    _arxiv("cao2019", "Cao K; Wei C; Gaidon A; Arechiga N; Ma T", 2019, "Learning imbalanced datasets with "
           "label-distribution-aware margin loss", "NeurIPS", "1906.07413"),
    _talk("ridnik2021", "Ridnik T; Ben-Baruch E; Zamir N; Noy A; Friedman I; Protter M; Zelnik-Manor L", 2021,
          "Asymmetric loss for multi-label classification", "ICCV", "10.1109/ICCV48922.2021.00015"),
    _arxiv("wu2020", "Wu T; Huang Q; Liu Z; Wang Y; Lin D", 2020, "Distribution-balanced loss for multi-label "
           "classification in long-tailed datasets", "ECCV", "2007.09654"),
    _talk("gupta2019", "Gupta A; Dollár P; Girshick R", 2019, "LVIS: a dataset for large vocabulary instance "
          "segmentation", "CVPR", "10.1109/CVPR.2019.00550"),
    _arxiv("kang2020", "Kang B; Xie S; Rohrbach M; Yan Z; Gordo A; Feng J; Kalantidis Y", 2020, "Decoupling "
           "representation and classifier for long-tailed recognition", "ICLR", "1910.09217"),
    _arxiv("menon2021", "Menon AK; Jayasumana S; Rawat AS; Jain H; Veit A; Kumar S", 2021, "Long-tail learning via "
           "logit adjustment", "ICLR", "2007.07314"),
    _talk("kendall2018", "Kendall A; Gal Y; Cipolla R", 2018, "Multi-task learning using uncertainty to weigh losses "
          "for scene geometry and semantics", "CVPR", "10.1109/CVPR.2018.00781"),
    _talk("kobayashi2023", "Kobayashi T", 2023, "Two-way multi-label loss", "CVPR"),
    _arxiv("zhang2018noisy", "Zhang Z; Sabuncu MR", 2018, "Generalized cross entropy loss for training deep neural "
           "networks with noisy labels", "NeurIPS", "1805.07836"),
    _talk("szegedy2016", "Szegedy C; Vanhoucke V; Ioffe S; Shlens J; Wojna Z", 2016, "Rethinking the Inception "
          "architecture for computer vision", "CVPR", "10.1109/CVPR.2016.308"),
    _arxiv("guo2017", "Guo C; Pleiss G; Sun Y; Weinberger KQ", 2017, "On calibration of modern neural networks",
           "ICML", "1706.04599"),
    _arxiv("lakshminarayanan2017", "Lakshminarayanan B; Pritzel A; Blundell C", 2017, "Simple and scalable predictive "
           "uncertainty estimation using deep ensembles", "NeurIPS", "1612.01474"),
    _talk("galdran2021", "Galdran A; Carneiro G; González Ballester MA", 2021, "Balanced-MixUp for highly imbalanced "
          "medical image classification", "MICCAI"),
    _arxiv("sagawa2020", "Sagawa S; Koh PW; Hashimoto TB; Liang P", 2020, "Distributionally robust neural networks "
           "for group shifts", "ICLR", "1911.08731"),
    _arxiv("idrissi2022", "Idrissi BY; Arjovsky M; Pezeshki M; Lopez-Paz D", 2022, "Simple data balancing achieves "
           "competitive worst-group-accuracy", "CLeaR", "2110.14503"),
    _arxiv("shen2016", "Shen L; Lin Z; Huang Q", 2016, "Relay backpropagation for effective learning of deep "
           "convolutional neural networks", "ECCV", "1512.05830"),
    Reference("buda2018", "Buda M; Maki A; Mazurowski MA", 2018, "A systematic study of the class imbalance problem "
              "in convolutional neural networks", "Neural Networks 106:249-259", "10.1016/j.neunet.2018.07.011"),
    _talk("ying2016", "Ying Y; Wen L; Lyu S", 2016, "Stochastic online AUC maximization", "NeurIPS"),
    _arxiv("yuan2021", "Yuan Z; Yan Y; Sonka M; Yang T", 2021, "Large-scale robust deep AUC maximization: a new "
           "surrogate loss and empirical studies on medical image classification", "ICCV", "2012.03173"),
    Reference("king2001", "King G; Zeng L", 2001, "Logistic regression in rare events data",
              "Political Analysis 9:137-163", "10.1093/oxfordjournals.pan.a004868"),
    Reference("zhou2006", "Zhou ZH; Liu XY", 2006, "Training cost-sensitive neural networks with methods addressing "
              "the class imbalance problem", "IEEE Transactions on Knowledge and Data Engineering 18:63-77",
              "10.1109/TKDE.2006.17"),
    Reference("saerens2002", "Saerens M; Latinne P; Decaestecker C", 2002, "Adjusting the outputs of a classifier to "
              "new a priori probabilities: a simple procedure", "Neural Computation 14:21-41",
              "10.1162/089976602753284446"),
)  # fmt: skip

_ATTRIBUTIONS = (
    _talk("selvaraju2017", "Selvaraju RR; Cogswell M; Das A; Vedantam R; Parikh D; Batra D", 2017, "Grad-CAM: visual "
          "explanations from deep networks via gradient-based localization", "ICCV", "10.1109/ICCV.2017.74"),
    _talk("chattopadhay2018", "Chattopadhay A; Sarkar A; Howlader P; Balasubramanian VN", 2018, "Grad-CAM++: "
          "generalized gradient-based visual explanations for deep convolutional networks", "WACV",
          "10.1109/WACV.2018.00097"),
    _talk("wang2020", "Wang H; Wang Z; Du M; Yang F; Zhang Z; Ding S; Mardziel P; Hu X", 2020, "Score-CAM: "
          "score-weighted visual explanations for convolutional neural networks", "CVPR Workshops",
          "10.1109/CVPRW50498.2020.00020"),
    _talk("desai2020", "Desai S; Ramaswamy HG", 2020, "Ablation-CAM: visual explanations for deep convolutional "
          "network via gradient-free localization", "WACV", "10.1109/WACV45572.2020.9093360"),
    _arxiv("draelos2020", "Draelos RL; Carin L", 2020, "Use HiResCAM instead of Grad-CAM for faithful explanations of "
           "convolutional neural networks", "", "2011.08891"),
    Reference("jiang2021", "Jiang PT; Zhang CB; Hou Q; Cheng MM; Wei Y", 2021, "LayerCAM: exploring hierarchical "
              "class activation maps for localization", "IEEE Transactions on Image Processing 30:5875-5888",
              "10.1109/TIP.2021.3089943"),
    _talk("muhammad2020", "Muhammad MB; Yeasin M", 2020, "Eigen-CAM: class activation map using principal components",
          "IJCNN", "10.1109/IJCNN48605.2020.9206626"),
    _arxiv("springenberg2015", "Springenberg JT; Dosovitskiy A; Brox T; Riedmiller M", 2015, "Striving for "
           "simplicity: the all convolutional net", "ICLR Workshops", "1412.6806"),
    _arxiv("adebayo2018", "Adebayo J; Gilmer J; Muelly M; Goodfellow I; Hardt M; Kim B", 2018, "Sanity checks for "
           "saliency maps", "NeurIPS", "1810.03292"),
    _talk("abnar2020", "Abnar S; Zuidema W", 2020, "Quantifying attention flow in transformers", "ACL",
          "10.18653/v1/2020.acl-main.385"),
    _arxiv("chefer2021", "Chefer H; Gur S; Wolf L", 2021, "Generic attention-model explainability for interpreting "
           "bi-modal and encoder-decoder transformers", "ICCV", "2103.15679"),
    _arxiv("schulz2020", "Schulz K; Sixt L; Tombari F; Landgraf T", 2020, "Restricting the flow: information "
           "bottlenecks for attribution", "ICLR", "2001.00396"),
    _arxiv("petsiuk2018", "Petsiuk V; Das A; Saenko K", 2018, "RISE: randomized input sampling for explanation of "
           "black-box models", "BMVC", "1806.07421"),
    _arxiv("sundararajan2017", "Sundararajan M; Taly A; Yan Q", 2017, "Axiomatic attribution for deep networks",
           "ICML", "1703.01365"),
    _arxiv("simonyan2014", "Simonyan K; Vedaldi A; Zisserman A", 2014, "Deep inside convolutional networks: "
           "visualising image classification models and saliency maps", "ICLR Workshops", "1312.6034"),
    _arxiv("shrikumar2016", "Shrikumar A; Greenside P; Shcherbina A; Kundaje A", 2016, "Not just a black box: learning "
           "important features through propagating activation differences", "", "1605.01713"),
    _arxiv("smilkov2017", "Smilkov D; Thorat N; Kim B; Viégas F; Wattenberg M", 2017, "SmoothGrad: removing noise by "
           "adding noise", "", "1706.03825"),
    _talk("zeiler2014", "Zeiler MD; Fergus R", 2014, "Visualizing and understanding convolutional networks", "ECCV",
          "10.1007/978-3-319-10590-1_53"),
    _talk("fong2019", "Fong R; Patrick M; Vedaldi A", 2019, "Understanding deep networks via extremal perturbations "
          "and smooth masks", "ICCV", "10.1109/ICCV.2019.00304"),
    Reference("zhang2018", "Zhang J; Bargal SA; Lin Z; Brandt J; Shen X; Sclaroff S", 2018, "Top-down neural attention "
              "by excitation backprop", "International Journal of Computer Vision 126:1084-1102",
              "10.1007/s11263-017-1059-x"),
    _talk("bertalmio2000", "Bertalmio M; Sapiro G; Caselles V; Ballester C", 2000, "Image inpainting", "SIGGRAPH",
          "10.1145/344779.344972"),
)  # fmt: skip

_UNITS_AND_FEATURES = (
    _talk("bau2017", "Bau D; Zhou B; Khosla A; Oliva A; Torralba A", 2017, "Network dissection: quantifying "
          "interpretability of deep visual representations", "CVPR", "10.1109/CVPR.2017.354"),
    Reference("westfall1993", "Westfall PH; Young SS", 1993, "Resampling-based multiple testing", "Wiley", "", "book"),
    _arxiv("kornblith2019", "Kornblith S; Norouzi M; Lee H; Hinton G", 2019, "Similarity of neural network "
           "representations revisited", "ICML", "1905.00414"),
    _arxiv("nguyen2021", "Nguyen T; Raghu M; Kornblith S", 2021, "Do wide and deep networks learn the same things? "
           "Uncovering how neural network representations vary with width and depth", "ICLR", "2010.15327"),
    Reference("song2012", "Song L; Smola A; Gretton A; Bedo J; Borgwardt K", 2012, "Feature selection via dependence "
              "maximization", "Journal of Machine Learning Research 13:1393-1434"),
    _arxiv("li2015", "Li Y; Yosinski J; Clune J; Lipson H; Hopcroft J", 2015, "Convergent learning: do different "
           "neural networks learn the same representations?", "", "1511.07543"),
    _arxiv("alain2016", "Alain G; Bengio Y", 2016, "Understanding intermediate layers using linear classifier probes",
           "", "1610.01644"),
    Reference("fang2021", "Fang C; He H; Long Q; Su WJ", 2021, "Exploring deep neural networks via layer-peeled model: "
              "minority collapse in imbalanced training", "PNAS 118:e2103091118", "10.1073/pnas.2103091118"),
    _talk("roy2007", "Roy O; Vetterli M", 2007, "The effective rank: a measure of effective dimensionality", "EUSIPCO"),
)  # fmt: skip

_STATISTICS = (
    Reference("hanley1982", "Hanley JA; McNeil BJ", 1982, "The meaning and use of the area under a receiver operating "
              "characteristic (ROC) curve", "Radiology 143:29-36", "10.1148/radiology.143.1.7063747"),
    Reference("brier1950", "Brier GW", 1950, "Verification of forecasts expressed in terms of probability",
              "Monthly Weather Review 78:1-3"),
    _talk("naeini2015", "Naeini MP; Cooper GF; Hauskrecht M", 2015, "Obtaining well calibrated probabilities using "
          "Bayesian binning", "AAAI"),
    _arxiv("nixon2019", "Nixon J; Dusenberry MW; Zhang L; Jerfel G; Tran D", 2019, "Measuring calibration in deep "
           "learning", "CVPR Workshops", "1904.01685"),
    Reference("cox1958", "Cox DR", 1958, "Two further applications of a model for binary regression",
              "Biometrika 45:562-565", "10.1093/biomet/45.3-4.562"),
    Reference("vickers2006", "Vickers AJ; Elkin EB", 2006, "Decision curve analysis: a novel method for evaluating "
              "prediction models", "Medical Decision Making 26:565-574", "10.1177/0272989X06295361"),
    Reference("davison1997", "Davison AC; Hinkley DV", 1997, "Bootstrap methods and their application",
              "Cambridge University Press", "10.1017/CBO9780511802843", "book"),
    Reference("satterthwaite1946", "Satterthwaite FE", 1946, "An approximate distribution of estimates of variance "
              "components", "Biometrics Bulletin 2:110-114", "10.2307/3002019"),
    Reference("holm1979", "Holm S", 1979, "A simple sequentially rejective multiple test procedure",
              "Scandinavian Journal of Statistics 6:65-70"),
    Reference("schuirmann1987", "Schuirmann DJ", 1987, "A comparison of the two one-sided tests procedure and the "
              "power approach for assessing the equivalence of average bioavailability",
              "Journal of Pharmacokinetics and Biopharmaceutics 15:657-680", "10.1007/BF01068419"),
    Reference("berger1982", "Berger RL", 1982, "Multiparameter hypothesis testing and acceptance sampling",
              "Technometrics 24:295-300", "10.1080/00401706.1982.10487790"),
    Reference("delong1988", "DeLong ER; DeLong DM; Clarke-Pearson DL", 1988, "Comparing the areas under two or more "
              "correlated receiver operating characteristic curves: a nonparametric approach",
              "Biometrics 44:837-845", "10.2307/2531595"),
    Reference("obuchowski1997", "Obuchowski NA", 1997, "Nonparametric analysis of clustered ROC curve data",
              "Biometrics 53:567-578", "10.2307/2533958"),
    Reference("bandos2005", "Bandos AI; Rockette HE; Gur D", 2005, "A permutation test sensitive to differences in "
              "areas for comparing ROC curves from a paired design", "Statistics in Medicine 24:2873-2893",
              "10.1002/sim.2149"),
    Reference("benjamini1995", "Benjamini Y; Hochberg Y", 1995, "Controlling the false discovery rate: a practical and "
              "powerful approach to multiple testing", "Journal of the Royal Statistical Society B 57:289-300",
              "10.1111/j.2517-6161.1995.tb02031.x"),
)  # fmt: skip

_GUIDELINES = (
    Reference("tejani2024", "Tejani AS; Klontzas ME; Gatti AA; Mongan JT; Moy L; Park SH; Kahn CE", 2024, "Checklist "
              "for artificial intelligence in medical imaging (CLAIM): 2024 update",
              "Radiology: Artificial Intelligence 6:e240300", "10.1148/ryai.240300"),
    Reference("collins2024", "Collins GS; Moons KGM; Dhiman P; et al.", 2024, "TRIPOD+AI statement: updated guidance "
              "for reporting clinical prediction models that use regression or machine learning methods",
              "BMJ 385:e078378", "10.1136/bmj-2023-078378"),
)  # fmt: skip

BIBLIOGRAPHY = {
    reference.key: reference
    for group in (
        _STUDIES, _DATA_SETS, _NETWORKS, _TREATMENTS, _ATTRIBUTIONS, _UNITS_AND_FEATURES, _STATISTICS, _GUIDELINES,
    )
    for reference in group
}  # fmt: skip
