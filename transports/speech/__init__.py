"""Speech without a network: voices, ears and brains for the emulators."""
