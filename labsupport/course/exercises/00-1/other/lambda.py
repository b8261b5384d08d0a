offset_of = lambda n: n - 1
