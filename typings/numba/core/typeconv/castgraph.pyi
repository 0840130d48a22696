import enum

class Conversion(enum.IntEnum):
    exact = 1
    promote = 2
    safe = 3
    unsafe = 4
    nil = 99
