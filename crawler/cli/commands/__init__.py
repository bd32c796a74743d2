"""A file a command, each loaded only when it is called; what several of them need is beside this folder."""
