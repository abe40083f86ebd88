"""Images and the registry that they are pushed to.

base_images      the images that functions are built from, under their public names
rootfs           root file systems from Debian packages, and layers from root file systems
kept_layers      layers that were made once
oci              manifests and configurations, as the image-spec has them
registry_client  the registry's API
"""
