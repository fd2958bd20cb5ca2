"""What a conda file asks for against what the scoring environment has."""

import pytest

from local.azure_ml.scoring.image import BuildFailed, build

HAVE = {
    "python": "3.13.0",
    "scikit-learn": "1.9.1",
    "mlflow-skinny": "3.17.2",
    "azureml-inference-server-http": "1.5.1",
    "PyYAML": "6.0.3",
}


def conda(*lines: str, pip: tuple[str, ...] = ()) -> str:
    listed = "".join(f"  - {line}\n" for line in lines)
    inner = "".join(f"    - {line}\n" for line in pip)
    return f"name: env\ndependencies:\n{listed}" + (f"  - pip:\n{inner}" if pip else "")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(conda("python=3.13", "pip"), id="python-and-tools"),
        pytest.param(conda("scikit-learn"), id="bare-name"),
        pytest.param(conda("conda-forge::scikit-learn=1.9"), id="channel"),
        pytest.param(conda("scikit-learn >=1,<2"), id="conda-range"),
        pytest.param(conda("scikit-learn=1.9.1=py313_0"), id="build-string"),
        pytest.param(conda("pip<=24.2", pip=("scikit_learn[alldeps]>=1",)), id="pip-extra"),
        pytest.param(conda(pip=("pyyaml",)), id="letter-case"),
        pytest.param(conda(pip=('winonly; sys_platform == "win32"',)), id="marker"),
        pytest.param(conda(pip=("--extra-index-url x", "pyyaml")), id="pip-option"),
        pytest.param(conda(pip=("pyyaml==6.0.3 # reader",)), id="comment"),
    ],
)
def test_an_environment_of_installed_packages_is_built(text: str) -> None:
    log = build(text, HAVE)

    assert log.endswith("Image build finished\n")
    assert "asked for" not in log


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param(conda("nowhere"), "ResolvePackageNotFound:\n  - nowhere\n", id="conda"),
        pytest.param(
            conda(pip=("nowhere==1.0",)),
            "ERROR: No matching distribution found for nowhere==1.0\n",
            id="pip",
        ),
    ],
)
def test_a_package_that_is_not_there_fails_the_build_by_name(text: str, complaint: str) -> None:
    with pytest.raises(BuildFailed, match="could not find 'nowhere") as failed:
        build(text, HAVE)

    assert complaint in failed.value.log


def test_all_missing_packages_are_named_at_once() -> None:
    with pytest.raises(BuildFailed, match="'first', 'second>=2'"):
        build(conda("first", pip=("pyyaml", "second>=2")), HAVE)


@pytest.mark.parametrize(
    ("wanted", "noted"),
    [
        pytest.param("scikit-learn=1.2", "asked for 1.2; ", id="conda-pin"),
        pytest.param("python=3.1", "asked for 3.1; ", id="prefix-is-not-a-version"),
    ],
)
def test_another_version_is_accepted_and_noted(wanted: str, noted: str) -> None:
    assert noted in build(conda(wanted), HAVE)


def test_a_stand_in_is_accepted_and_noted() -> None:
    log = build(conda(pip=("mlflow==3.17.2", "azureml-defaults==1.38.0")), HAVE)

    assert "mlflow-skinny 3.17.2 (mlflow-skinny stands in for mlflow)\n" in log
    assert "azureml-inference-server-http stands in for azureml-defaults" in log
    assert "asked for 1.38.0" in log


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a: [", id="not-yaml"),
        pytest.param("just text", id="no-mapping"),
        pytest.param("name: env\n", id="no-dependencies"),
        pytest.param("dependencies:\n  - 7\n", id="number"),
        pytest.param(conda("=1.0"), id="no-name"),
        pytest.param(conda(pip=("two words",)), id="pip-nonsense"),
    ],
)
def test_what_is_no_conda_file_fails_the_build_with_a_log(text: str) -> None:
    with pytest.raises(BuildFailed) as failed:
        build(text, HAVE)

    assert failed.value.log.endswith("\n")
