"""The page: static files, and the few answers that only it needs.

The page is a client of the API. Its files are plain ES modules; `static/vendor` has what others
wrote, with their licences. Nothing is loaded from another machine, which its security policy holds.
"""
