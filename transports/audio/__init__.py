"""Audio without I/O: formats, G.711, resampling, the playhead."""
