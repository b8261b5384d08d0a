"""Class lists as teachers have them, and users for Strimzi. No broker."""

import pytest
import yaml

from labsupport.classroom import roster, strimzi
from labsupport.classroom.users import learner_of
from labsupport.errors import LabError


def test_a_list_may_have_empty_lines_blanks_around_names_and_remarks():
    """As files are that people keep; the one that an editor of Windows has saved, too."""
    assert roster.parse("\ufeffanna\n\n  bela \r\n# the others\ncarla_2  # moved here\n") == ["anna", "bela", "carla_2"]


WRONG = {
    "anna\nbela\nanna\n": "line 3: 'anna' stands in line 1 already",
    "lab-teacher\n": "line 1: 'lab-teacher' is a name of the lab's own",
    "LAB-Teacher\n": "is a name of the lab's own",
    "anna maria\n": "line 1: 'anna maria' has other characters than a-z, 0-9 and _, or more than 50: anna_maria?",
    "Jörg Müßig\n": "joerg_muessig?",
    "Łukasz\n": "ukasz?",
    "李明\n": "learner_1?",
    "anna-b\n": "anna_b?",
    f"{'a' * 51}\n": f"{'a' * 50}?",
    "\n# nobody\n": "it has no name",
}


@pytest.mark.parametrize("text", WRONG)
def test_each_line_that_cannot_be_used_is_named(text):
    """All at once, with a name that could be used."""
    with pytest.raises(LabError) as caught:
        roster.parse(text)
    assert WRONG[text] in caught.value.seen


def test_no_learners_prefix_begins_anothers():
    """So `anna` can reach nothing of `anna_b`, and a topic belongs to one learner."""
    assert learner_of("lab-anna-05-orders") == "anna"
    assert learner_of("lab-anna_b-05-orders") == "anna_b"
    assert learner_of("05-orders") == ""


def test_users_for_strimzi():
    """The same rights and limits; a name that Kubernetes refuses is named."""
    first, second = yaml.safe_load_all(strimzi.resources(["anna", "bela"], "school"))
    assert (first["metadata"]["name"], second["metadata"]["name"]) == ("anna", "bela")
    assert first["metadata"]["labels"] == {"strimzi.io/cluster": "school"}
    acls = first["spec"]["authorization"]["acls"]
    assert [acl["resource"]["type"] for acl in acls] == ["topic", "group", "transactionalId"]
    assert {(acl["resource"]["name"], acl["resource"]["patternType"]) for acl in acls} == {("lab-anna-", "prefix")}
    assert first["spec"]["quotas"]["controllerMutationRate"] == 10
    with pytest.raises(LabError, match="names of Kubernetes"):
        strimzi.resources(["anna_b"], "school")
