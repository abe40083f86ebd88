"""An image, described from the daemon's content store.

content   the store, read
manifest  indexes, manifests and configs, parsed
"""
