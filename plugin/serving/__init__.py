"""Track finding as a service: a Triton server with our models, and its client."""
