"""A realtime model on this machine, as strict as the real one."""
