"""trkx."""
