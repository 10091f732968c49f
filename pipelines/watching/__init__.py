"""What operators see of a server: readiness, metrics, status."""
