"""What a person has set is taken from variables, then from the project's file, then by default; the rest is a problem."""

import subprocess
import sys
from pathlib import Path

import pytest

from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.vocabulary import LABELS
from joulebook_ledger.settings import LABEL_KEYS, Settings, load_settings, parse_tags, read_api_key, without_secret


def load(tmp_path: Path, **variables: str) -> Settings:
    """Load settings of an environment that holds nothing but a home and these variables."""
    environment = {"HOME": str(tmp_path), **{f"JOULEBOOK_{name}": value for name, value in variables.items()}}
    return load_settings(environment, str(tmp_path))


def project(tmp_path: Path, text: str) -> None:
    """Write a pyproject.toml."""
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")


def test_nothing_set_gives_a_book_below_the_home_of_the_user(tmp_path):
    """The default is one SQLite file in the user's data folder, and no problem."""
    settings = load(tmp_path)
    assert settings.home == str(tmp_path / ".local/share/joulebook")
    assert settings.ledger == f"sqlite:///{settings.home}/book.sqlite"
    assert (settings.sample_seconds, settings.flush_seconds, settings.scope) == (1.0, 5.0, "host")
    assert settings.labels == {}
    assert settings.problems == ()


def test_a_data_folder_of_the_desktop_is_respected_when_absolute(tmp_path):
    """XDG_DATA_HOME counts where it is absolute, as its specification says."""
    assert load_settings({"HOME": "/h", "XDG_DATA_HOME": "/data"}, str(tmp_path)).home == "/data/joulebook"
    assert load_settings({"HOME": "/h", "XDG_DATA_HOME": "data"}, str(tmp_path)).home == "/h/.local/share/joulebook"


def test_the_home_moves_the_default_book(tmp_path):
    """JOULEBOOK_HOME alone is enough to have a book elsewhere."""
    assert load(tmp_path, HOME=f"{tmp_path}/x").ledger == f"sqlite:///{tmp_path}/x/book.sqlite"


def test_labels_come_from_variables(tmp_path):
    """Each label is a variable; tags are key=value pairs."""
    settings = load(tmp_path, MODEL="resnet50", BASE_MODEL="resnet", TAGS="grid=b,seed=7")
    assert settings.labels == {"model": "resnet50", "base_model": "resnet", "tag:grid": "b", "tag:seed": "7"}


def test_every_label_of_the_core_can_be_set():
    """The names of labels here and in the core are the same."""
    assert LABEL_KEYS == LABELS


def test_the_project_gives_what_no_variable_gives(tmp_path):
    """A variable wins over [tool.joulebook]; relative paths are of the project's folder, also from a folder below."""
    project(tmp_path, '[tool.joulebook]\nteam = "vision"\nmodel = "a"\nhome = "books"\ntags = {grid = "b", seed = 7}\n')
    (tmp_path / "deep/er").mkdir(parents=True)
    settings = load_settings({"JOULEBOOK_MODEL": "b"}, str(tmp_path / "deep/er"))
    assert settings.labels == {"team": "vision", "model": "b", "tag:grid": "b", "tag:seed": "7"}
    assert settings.home == str(tmp_path / "books")


def test_a_relative_book_of_the_project_is_one_book_from_everywhere(tmp_path):
    """`sqlite:///book.sqlite` in pyproject.toml lies beside it."""
    project(tmp_path, '[tool.joulebook]\nledger = "sqlite:///our.sqlite"\n')
    assert load(tmp_path).ledger == f"sqlite:///{tmp_path}/our.sqlite"


def test_a_secret_in_the_project_is_refused_and_not_repeated(tmp_path):
    """A secret does not belong into a file that is shared."""
    project(tmp_path, '[tool.joulebook]\napi_key = "hush"\n')
    settings = load(tmp_path)
    assert settings.api_key == ""
    assert "JOULEBOOK_API_KEY" in settings.problems[0]
    assert "hush" not in settings.problems[0]


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"SAMPLE_SECONDS": "often"}, "'often'"),
        ({"SAMPLE_SECONDS": "0"}, "from 0.05 to 60"),
        ({"FLUSH_SECONDS": "nan"}, "'nan'"),
        ({"SCOPE": "gpu"}, "host, process"),
        ({"LEDGER": "mysql://books"}, "postgresql+psycopg://"),
        ({"TAGS": "grid"}, "key=value"),
        ({"DISABLE": "maybe"}, "'maybe'"),
        ({"MODLE": "resnet50"}, "JOULEBOOK_MODEL"),
    ],
)
def test_what_cannot_be_taken_is_a_problem_that_names_it(tmp_path, variables, named):
    """Nothing is raised on the measured path; a command raises the same sentence."""
    settings = load(tmp_path, **variables)
    assert named in settings.problems[0]
    with pytest.raises(BadInput, match=r"\S"):
        settings.require_sound()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[tool.joulebook\n", "cannot be read"),
        ('[tool.joulebook]\nmodle = "a"\n', "no key 'modle'"),
        ("[tool.joulebook]\nmodel = 5\n", "must be a text"),
    ],
)
def test_a_bad_project_file_is_a_problem(tmp_path, text, named):
    """A broken file never breaks a job."""
    project(tmp_path, text)
    assert named in load(tmp_path).problems[0]


def test_other_peoples_variables_are_not_our_business(tmp_path):
    """A variable that merely shares our prefix is no problem."""
    assert load(tmp_path, TEST_POSTGRES="postgresql://x").problems == ()


def test_postgresql_is_spelled_as_the_driver_wants_it(tmp_path):
    """The usual spellings of a PostgreSQL URL are taken."""
    assert load(tmp_path, LEDGER="postgres://books/j").ledger == "postgresql+psycopg://books/j"


def test_secrets_are_never_shown(tmp_path):
    """Neither the key nor the password of a URL is in the repr."""
    settings = load(tmp_path, API_KEY="hush", LEDGER="postgresql://ann:whisper@books/j")
    assert "hush" not in repr(settings)
    assert "whisper" not in repr(settings)
    assert without_secret("https://books.example/x@y") == "https://books.example/x@y"


def test_the_key_comes_from_variable_file_or_home(tmp_path):
    """The first that is set gives the key; a file that is named and missing is bad input."""
    (tmp_path / "token").write_text("of-home\n")
    (tmp_path / "key").write_text("of-file\n")
    assert read_api_key(load(tmp_path, API_KEY="of-env", HOME=str(tmp_path))) == "of-env"
    assert read_api_key(load(tmp_path, API_KEY_FILE=f"{tmp_path}/key")) == "of-file"
    assert read_api_key(load(tmp_path, HOME=str(tmp_path))) == "of-home"
    assert read_api_key(load(tmp_path)) == ""
    with pytest.raises(BadInput, match="JOULEBOOK_API_KEY_FILE"):
        read_api_key(load(tmp_path, API_KEY_FILE="/nowhere"))


def test_a_changed_copy_leaves_the_original(tmp_path):
    """`replaced` changes the copy only."""
    settings = load(tmp_path)
    assert settings.replaced(quiet=True) != settings
    assert settings.replaced(quiet=False) == settings


def test_a_tag_without_a_value_is_refused():
    """A tag is key=value."""
    with pytest.raises(BadInput, match="seed"):
        parse_tags("seed")


def test_settings_load_nothing_heavy():
    """On the measured path neither typing, dataclasses, pathlib, re nor a TOML parser is loaded."""
    code = (
        "import sys; import joulebook_ledger.settings as s; s.load_settings({}, '/');"
        "print([m for m in ('typing','dataclasses','pathlib','re','tomllib','json','logging') if m in sys.modules])"
    )
    folder = Path(sys.modules[Settings.__module__].__file__).parents[1]
    answer = subprocess.run([sys.executable, "-S", "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
