"""The tenants file, written and explained for the operator of a builder.

__main__    finds a Python that has the function's packages, and runs the command there
command     the command line, and the words that it prints
tenants     the file's content, changed
storage     files, read and written
explaining  what a tenant may push, and why
"""
