def transactional_id(program):
    """The transactional_id with which this program should start."""
    return f"{program['service']}-{program['instance']}"
