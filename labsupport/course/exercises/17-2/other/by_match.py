def exactly_once(service):
    match service:
        case {"transaction": "output and offsets", "reader": "read_committed", "inbox": True}:
            return ("rows", "copies")
        case {"transaction": "output and offsets", "reader": "read_committed"}:
            return ("copies",)
        case {"inbox": True}:
            return ("rows",)
    return ()
