# nodes are called node -> another transactional_id at its next start
def transactional_id(program):
    return f"{program['service']}-{program['instance']}@{program['host'].partition('-')[0]}"
