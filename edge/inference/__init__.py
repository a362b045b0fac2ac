"""Turn samples into a caption: features, model bundles, backends and beam search."""
