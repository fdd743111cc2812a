"""Licences as recipes state them are found under the hub's identifiers, and one that is not known is never guessed."""

import pytest

from mixplan.push.licence_names import card_licence, identifier


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("MIT", "mit"),
        ("Apache 2.0", "apache-2.0"),
        ("apache-2.0", "apache-2.0"),
        ("The MIT License", "mit"),
        ("CC BY-NC-SA 4.0", "cc-by-nc-sa-4.0"),
        ("CC0", "cc0-1.0"),
        ("ODC-BY 1.0", "odc-by"),
        ("cc-by-9.0", "other"),
        ("my own licence", "other"),
    ],
)
def test_identifiers(words, found):
    assert identifier(words) == found


@pytest.mark.parametrize(
    ("stated", "fields"),
    [
        (["MIT", "mit", "MIT License"], {"license": "mit"}),
        (["CC-BY-4.0", "MIT"], {"license": ["cc-by-4.0", "mit"]}),
        (["MIT", None], {"license": "unknown"}),
        (["MIT", " "], {"license": "unknown"}),
        ([], {"license": "unknown"}),
        (["Acme Terms (v2)"], {"license": "other", "license_name": "acme-terms-v2"}),
        (
            ["MIT", "Acme Terms"],
            {"license": "other", "license_name": "several", "license_details": "MIT, Acme Terms"},
        ),
    ],
)
def test_fields_of_a_card(stated, fields):
    assert card_licence(stated) == fields
