"""Whatever is sent to the real processes, it is answered or refused, and what is answered after it is counted."""

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import grpc
import httpx
import pytest

from bench.resources import pss_bytes
from deploy.local.processes import System
from tests.system.account import total
from tests.system.conftest import Report
from tests.system.fuzz.attack import Verdicts, attack_frames, attack_grpc, attack_http, attack_raw
from tests.system.fuzz.frames import connections
from tests.system.fuzz.messages import calls
from tests.system.fuzz.raw_http import raw_requests
from tests.system.fuzz.requests import requests
from tests.system.workers import wait_until

pytestmark = pytest.mark.slow

RAW_REQUESTS = 24_000
REQUESTS = 40_000
CALLS = 24_000
CONNECTIONS = 12_000
NORMAL_REQUESTS = 100
