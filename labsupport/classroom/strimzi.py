"""The same users as resources of the Strimzi operator, which makes users on Kubernetes itself (pure)."""

from collections.abc import Sequence

from labsupport.classroom.users import QUOTAS, prefix_of
from labsupport.errors import LabError

USER = """\
apiVersion: kafka.strimzi.io/v1beta2
kind: KafkaUser
metadata:
  name: {name}
  labels:
    strimzi.io/cluster: {cluster}
spec:
  authentication:
    type: scram-sha-512
  authorization:
    type: simple
    acls:
{acls}
  quotas:
    producerByteRate: {producer_byte_rate:.0f}
    consumerByteRate: {consumer_byte_rate:.0f}
    requestPercentage: {request_percentage:.0f}
    controllerMutationRate: {controller_mutation_rate:.0f}
"""
ACL = """\
      - resource:
          type: {kind}
          name: {prefix}
          patternType: prefix
        operations:
          - All"""


def resources(names: Sequence[str], cluster: str) -> str:
    """Return one YAML text with a KafkaUser for each name. Raises LabError for a name that Kubernetes refuses."""
    if refused := [name for name in names if "_" in name or len(name) > 50]:
        raise LabError(
            "These names cannot be names of Kubernetes' resources.", ", ".join(refused), "use letters and digits only"
        )
    kinds = ("topic", "group", "transactionalId")
    return "---\n".join(
        USER.format(
            name=name,
            cluster=cluster,
            acls="\n".join(ACL.format(kind=kind, prefix=prefix_of(name)) for kind in kinds),
            **QUOTAS,
        )
        for name in names
    )
