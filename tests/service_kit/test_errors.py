from service_kit.errors import ServiceError


class Refused(ServiceError):
    reason = "REFUSED"

    def __init__(self, field: str, size: int) -> None:
        super().__init__("refused")
        self.field = field
        self.size = size


def test_the_facts_are_the_attributes_as_text_without_the_field() -> None:
    assert Refused("size", 7).facts() == {"size": "7"}


def test_an_error_without_attributes_has_no_facts() -> None:
    assert ServiceError("refused").facts() == {}


def test_an_error_that_names_no_field_has_none() -> None:
    assert ServiceError("refused").field is None
