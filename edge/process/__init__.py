"""Set up the process: entry points, standard streams, differences between systems."""
