"""Pickles as Python 2 writes them: what a text is, is a string of bytes (S, or U in binary)."""

import pickle


class _Pickler(pickle._Pickler):
    dispatch = dict(pickle._Pickler.dispatch)

    def save_str(self, text):
        if self.bin:
            raw = text.encode("latin-1")
            size = len(raw)
            self.write(b"U" + bytes([size]) if size < 256 else b"T" + size.to_bytes(4, "little"))
            self.write(raw)
        else:
            self.write(b"S" + ascii(text).encode("ascii") + b"\n")
        self.memoize(text)

    dispatch[str] = save_str


def dump(thing, file, protocol):
    _Pickler(file, protocol).dump(thing)


def load(file):
    return pickle.load(file, encoding="latin-1")
