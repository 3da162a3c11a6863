"""The part of IPython that the chapters use, for Python inside the page."""  # noqa: N999


def get_ipython():
    """No shell: matplotlib asks."""
    return None
