"""The contracts of Cloned: everything that crosses a process, a file or the network.

Importing this package loads nothing; each contract is a module, and `errors` is light enough for a command's start.
"""
