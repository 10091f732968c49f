"""Tools the model may call, and the router that runs them."""
