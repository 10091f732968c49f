"""The probe: one call on a real account that measures what nobody documents."""
