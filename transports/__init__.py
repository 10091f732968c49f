"""What touches wires, and what crosses them: frames, audio, the carrier, the model, emulators of both."""
