import pytest

from falconkit.errors import ConfigurationError
from falconkit.log.redact import NAMES, hiding


@pytest.mark.parametrize(
    "name",
    [
        *NAMES.split(),
        "PASSWORD",
        "db_password",
        "passwordConfirmation",
        "X-Api-Key",
        "apiKey",
        "APIKey",
        "HTTP_AUTHORIZATION",
        "Proxy-Authorization",
        "Set-Cookie",
        "access_token",
        "accessToken",
        "token2",
        "client.secret",
        "csrf-token",
        "x" * 100 + "_password",
        "password_" + "x" * 100,
        "a_b_c_d_e_f_password",
    ],
)
def test_hidden(name: str) -> None:
    assert hiding()(name)
    assert hiding()(name.upper() if "_" in name else name)


@pytest.mark.parametrize(
    "name", ["", "v", "user", "tokens_used", "broken", "compass", "api", "key", "path", "id", "…"]
)
def test_not_hidden(name: str) -> None:
    assert not hiding()(name)


def test_the_users_own_names_are_hidden_too() -> None:
    hides = hiding(["iban", "Birth-Date"])
    assert hides("customer_iban")
    assert hides("birthDate")
    assert hides("password")
    assert not hides("birth")
    assert not hiding()("iban")


@pytest.mark.parametrize("names", ["password", [""], ["--"], [1]])
def test_what_is_no_name_is_refused(names: object) -> None:
    with pytest.raises(ConfigurationError, match="redact"):
        hiding(names)  # type: ignore[arg-type]
