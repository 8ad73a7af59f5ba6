"""Fixtures of the suite: every test has an empty store, in a project of its own."""

import os
import secrets

import httpx
import pytest
from agentlightning import LightningStoreClient

import stub_model


def pytest_addoption(parser):
    parser.addoption("--server", action="append", help="root URL; a second one is an equal of the first")
    parser.addoption("--reference", action="store_true", help="the server is the package's own")


def pytest_configure(config):
    config.addinivalue_line("markers", "ours: a deliberate deviation from the reference server")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--reference"):
        return
    deviations = [item for item in items if item.get_closest_marker("ours")]
    config.hook.pytest_deselected(items=deviations)
    items[:] = [item for item in items if item not in deviations]


def pytest_sessionfinish(session):
    """Tells infra/test.js the counts, in the form that infra/test-reporter.js has."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    counts = {name: len(reporter.stats.get(name, [])) for name in ("passed", "failed", "error")}
    if descriptor := os.environ.get("LIGHTNING_TEST_COUNTS"):
        os.write(int(descriptor), f"{counts['passed']} {counts['failed'] + counts['error']}\n".encode())


@pytest.fixture(scope="session")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="session")
def servers(request):
    return [url.rstrip("/") for url in request.config.getoption("--server")]


@pytest.fixture
def project():
    return f"/projects/compat-{secrets.token_hex(6)}"


@pytest.fixture
def address(servers, project):
    return servers[0] + project


@pytest.fixture
async def store(address):
    """The package's client. Without retries: an error is to be seen, not survived."""
    client = LightningStoreClient(address, retry_delays=(), health_retry_delays=())
    yield client
    await client.close()


@pytest.fixture
async def http(servers, project):
    """Plain HTTP for exact statuses and bodies: to the same store, by another gateway."""
    async with httpx.AsyncClient(base_url=f"{servers[-1]}{project}/v1/agl", timeout=20) as client:
        yield client


@pytest.fixture(scope="session")
def model():
    """URL of a model on loopback that answers as vLLM does."""
    with stub_model.serve() as url:
        yield url
