"""The process: entry points, standard streams, differences between systems."""
