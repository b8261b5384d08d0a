def why_nothing(e):
    match e:
        case {"topic_exists": False}:
            return "no topic"
        case {"assigned": []}:
            return "others"
        case {"begin": b, "end": n} if b == n:
            return "empty"
        case {"committed": c, "end": n} if c == n:
            return "all read"
    return "at the end"
