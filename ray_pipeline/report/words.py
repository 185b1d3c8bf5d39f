"""The sentences of the report: how each metric is read, and what each status means."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """How a metric is called and read.

    `kind` says what it is held against: internal, structureless data; input, the same clusters dealt at random;
    external, chance agreement with labels; missing, chance agreement with which tracks lack a view; plain, nothing, or a
    chance level that a note tells.
    """

    label: str
    kind: str
    sentence: str


METRICS: dict[str, Metric] = {
    "ami": Metric(
        "AMI",
        "external",
        "Information that clusters and labels share, with what chance would share taken off. 0 is chance, 1 is the same"
        " grouping. Read this one first.",
    ),
    "ari": Metric(
        "ARI",
        "external",
        "Pairs of tracks that clusters and labels treat alike, with chance taken off. 0 is chance, 1 is the same grouping.",
    ),
    "nmi": Metric(
        "NMI",
        "external",
        "Information shared, without taking chance off: it rises with the number of clusters, so read it beside chance only.",
    ),
    "purity": Metric(
        "Purity",
        "external",
        "Share of tracks that carry their cluster's commonest label. Never below the largest label's share, and it rises"
        " with the number of clusters.",
    ),
    "v_measure": Metric(
        "V-measure", "external", "The same quantity as NMI, so it too rises with the number of clusters."
    ),
    "homogeneity": Metric("Homogeneity", "external", "1 when each cluster holds tracks of one label only."),
    "completeness": Metric("Completeness", "external", "1 when all tracks of a label lie in one cluster."),
    "silhouette": Metric(
        "Silhouette",
        "internal",
        "How much nearer a track lies to its own cluster than to the next, from −1 to 1. Higher is better, but only beside"
        " what structureless data scores: a collapsed model scores high.",
    ),
    "silhouette_input": Metric(
        "Silhouette of the features",
        "input",
        "The same clusters, measured on the standardised input features. Higher is better.",
    ),
    "calinski_harabasz": Metric(
        "Calinski–Harabasz",
        "internal",
        "Spread between clusters over spread within. Higher is better; it grows with the number of tracks, so compare it"
        " with its own null only.",
    ),
    "davies_bouldin": Metric(
        "Davies–Bouldin",
        "internal",
        "How much each cluster overlaps its most similar neighbour. Lower is better.",
    ),
    "davies_bouldin_input": Metric(
        "Davies–Bouldin of the features",
        "input",
        "The same overlap, measured on the standardised input features. Lower is better.",
    ),
    "ami_missing": Metric(
        "AMI with what is missing",
        "missing",
        "Information that clusters share with which tracks lack a view. It should be at chance; above it, a model that"
        " was given the view sorts tracks by what is missing, not by how they sound.",
    ),
    "coverage": Metric("Coverage", "plain", "Share of the tracks that were put into a cluster; the rest is noise."),
    "label_coverage": Metric("Label coverage", "plain", "Share of the tracks that carry the label."),
    "noise_share": Metric(
        "Noise", "plain", "Share of the tracks left out of every cluster; silhouettes do not see them."
    ),
    "n_clusters": Metric("Clusters", "plain", "Number of clusters, noise not counted."),
    "stability": Metric(
        "Stability over seeds",
        "internal",
        "Mean ARI between the clusters of runs with different seeds. 1 means the same clusters each time, which a collapsed"
        " model manages too, so read it beside structureless data only.",
    ),
    "stability_bootstrap": Metric(
        "Stability over resamples",
        "internal",
        "Mean ARI between clusterings of tracks drawn again and again with replacement, on the tracks that two draws share.",
    ),
    "artist_share": Metric(
        "Artist share",
        "plain",
        "Share of the tracks that are by the most frequent artist of their cluster. Above chance, the clusters know of"
        " artists, and agreement with labels may be owed to them: see the rows with one track an artist.",
    ),
    "mig": Metric(
        "MIG",
        "plain",
        "How far the latent that tells most of a known factor, such as tempo, is ahead of the second: mutual information, as"
        " a share of what there is to tell. 1 when each factor has one latent of its own.",
    ),
    "sap": Metric(
        "SAP",
        "plain",
        "The same lead in how well a single latent predicts the factor: R² of a number, balanced accuracy of a class.",
    ),
    "dci_disentanglement": Metric(
        "Disentanglement (DCI)",
        "plain",
        "1 when each latent that matters serves one factor only, 0 when each serves all.",
    ),
    "dci_completeness": Metric(
        "Completeness (DCI)", "plain", "1 when one latent alone tells a factor, 0 when all latents tell it alike."
    ),
    "dci_informativeness": Metric(
        "Informativeness (DCI)",
        "plain",
        "How much of the factors all latents together tell of unseen tracks. 1 is all, 0 no more than guessing.",
    ),
    "active_units": Metric(
        "Active units", "plain", "Latent dimensions that carry something: mean KL above the threshold."
    ),
    "effective_rank": Metric(
        "Effective rank", "plain", "Dimensions the latents really use. Below 2, the model has collapsed."
    ),
    "reconstruction": Metric(
        "Reconstruction error",
        "plain",
        "Squared error of a track, summed over its features. Lower keeps more of the input.",
    ),
    "reconstruction_pca2": Metric(
        "Reconstruction error of PCA",
        "plain",
        "The same of PCA with two components. A model that is worse than this has collapsed.",
    ),
    "collapsed": Metric("Collapsed", "plain", "1 when the latents no longer carry the input, 0 when they do."),
}

MARKS: dict[str, str] = {
    "artists": "The same with one track of each artist, so that no artist can pay for it.",
    "rotated": "Chance is the same latents in axes turned at random: above it, the axes themselves mean something.",
}
"""What a row says of itself whose metric has such a mark, as `ami@artists`."""

STATUSES: dict[str, str] = {
    "empty": "The file holds no bytes.",
    "too_short": "Too little sound to measure.",
    "silent": "Nothing but silence.",
    "non_finite": "Samples that are not numbers.",
    "out_of_range": "Samples far beyond full scale.",
    "truncated": "Less sound could be decoded than the file says it holds.",
    "corrupt": "The sound data is damaged.",
    "unsupported": "Not an audio format that can be decoded here.",
    "bad_header": "The header states an impossible rate, length or number of channels.",
    "not_regular": "Not a file: a folder, a pipe, a device or a broken link.",
    "unreadable": "The file may not be read. The next run tries it again.",
    "missing": "The file is no longer there. The next run tries it again.",
    "outside_root": "The path leads out of the collection, so it was not opened.",
    "changed": "The file was replaced after it was listed. The next run tries it again.",
    "timeout": "The track took longer than allowed. The next run tries it again.",
    "out_of_memory": "The track needed more memory than allowed. The next run tries it again.",
    "worker_crash": "The decoder crashed on this track. The next run tries it again.",
}
