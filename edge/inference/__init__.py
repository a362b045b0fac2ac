"""From samples to a caption: features, model bundles, backends, search."""
