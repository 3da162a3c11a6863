"""Stand-in for ``tqdm``: a loop with a line of text after every tenth of it, and no bar."""

import sys


class tqdm:  # noqa: N801 (the name it stands for)
    """Iterates like the bar it stands for."""

    def __init__(self, iterable, desc="", disable=False, total=None, **_):
        self.iterable, self.desc, self.disable = iterable, desc, disable
        self.total = (
            len(iterable) if total is None and hasattr(iterable, "__len__") else total
        )
        self.postfix = ""

    def __iter__(self):
        for done, each in enumerate(self.iterable, 1):
            yield each
            if self.total and not self.disable and done * 10 % self.total < 10:
                print(
                    f"{self.desc}: {done} of {self.total}{self.postfix}",
                    file=sys.stderr,
                )

    def set_postfix(self, *_, **values):
        """Numbers to print beside the count."""
        self.postfix = "".join(f", {name} {value}" for name, value in values.items())

    def set_postfix_str(self, text, *_, **__):
        """Text to print beside the count."""
        self.postfix = f", {text}"

    def update(self, n=1):
        """Nothing is drawn, so nothing is updated."""

    def close(self):
        """Nothing is drawn, so nothing is closed."""


def trange(n, **options):
    """``tqdm`` over a range."""
    return tqdm(range(n), **options)
