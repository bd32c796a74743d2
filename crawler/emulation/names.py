"""Names that look real: the n-th of many, unique and in bytewise order, without making the others."""

from __future__ import annotations

from functools import lru_cache

_TEAMS = (  # noqa: SIM905 - a word a line would bury the code
    "analytics auth backend billing commerce crm delivery edge game iot maps media ml "
    "mobile monitoring ops partner payments platform search security shopping webtoon"
).split()
_SERVICES = (  # noqa: SIM905 - a word a line would bury the code
    "account admin-console api-gateway audit-log batch-runner catalog checkout config-server coupon dashboard "
    "event-bus feature-store gpu-inference image-resizer indexer inventory ledger mailer notification "
    "order-worker payment-api price-engine push-sender ranking recommender report-builder scheduler session-store "
    "settlement stream-ingest token-issuer train-job user-profile web-front"
).split()
_WELL_KNOWN = (  # noqa: SIM905 - a word a line would bury the code
    "airflow alpine argocd busybox cassandra cert-manager clickhouse consul coredns debian elasticsearch envoy "
    "etcd fluent-bit gitea golang grafana haproxy harbor influxdb jenkins jupyterhub kafka keycloak kibana "
    "logstash mariadb memcached minio ml-train-gpu mongodb mysql nats nextcloud nginx nodejs openjdk postgres "
    "prometheus python-slim rabbitmq redis ruby-fpm sonarqube spark-operator telegraf tomcat traefik ubuntu "
    "vault wordpress zipkin zookeeper"
).split()
_FLAVOURS = ("", "-v2", "-canary", "-arm64", "-gpu", "-debug", "-slim", "-legacy")
_STAGES = ("dev", "prod", "qa", "sandbox", "stage")
_SPARE = 2  # names to choose one from: gaps make a list look grown, not counted


@lru_cache
def _suffixes(how_many: int) -> tuple[str, ...]:
    """Return the ``how_many`` plainest suffixes in order: none, then flavours, then numbered flavours."""
    rounds = (divmod(number, len(_FLAVOURS)) for number in range(how_many))
    return tuple(sorted(_FLAVOURS[flavour] + (f"-{turn + 1}" if turn else "") for turn, flavour in rounds))


class Vocabulary:
    """Words to make names of.

    No stem may be the beginning of another one: so names in order of (stem, suffix) are in bytewise order.
    """

    def __init__(self, stems: list[str]) -> None:
        self.stems = sorted(stems)

    def suffixes_for(self, how_many: int) -> tuple[str, ...]:
        """Return as many suffixes as that many names need, so that few names stay plain."""
        enough = 1
        while len(self.stems) * enough < _SPARE * how_many:
            enough *= 2
        return _suffixes(enough)

    def name(self, index: int, how_many: int, suffixes: tuple[str, ...], *, draw: int) -> str:
        """Return the ``index``-th of ``how_many`` names: each is drawn from a stretch of its own. O(1)."""
        space = len(self.stems) * len(suffixes)
        first = index * space // how_many
        after = (index + 1) * space // how_many
        stem, suffix = divmod(first + draw % (after - first), len(suffixes))
        return self.stems[stem] + suffixes[suffix]


IMAGE_NAMES = Vocabulary(_WELL_KNOWN + [f"{team}/{service}" for team in _TEAMS for service in _SERVICES])
REGISTRY_NAMES = Vocabulary([f"{team}-{stage}" for team in _TEAMS for stage in _STAGES])
