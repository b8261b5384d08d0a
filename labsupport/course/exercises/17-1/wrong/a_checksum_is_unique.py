# a checksum is unique -> for both
import zlib


def transactional_id(program):
    return str(zlib.crc32(f"{program['service']}-{program['instance']}".encode()))
