"""Registries: names of images in them, and the credentials for them.

reference          an image's name, parsed as Docker does
docker_config      Docker's config.json
credential_helper  Docker's programs for credentials, run
lookup             one build's credentials, when the daemon asks
"""
