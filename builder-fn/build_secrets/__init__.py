"""A request's sealed secrets.

envelope    the sealed file, opened: go-sdk's format
opened      its values, sorted by the parts of the build that may see them
plain_yaml  YAML of plain values, within bounds
"""
