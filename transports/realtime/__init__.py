"""The realtime model's wire: events and session state, without I/O."""
