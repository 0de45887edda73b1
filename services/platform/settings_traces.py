"""The settings of traces, under the names that OpenTelemetry gives them; see docs/tracing.md."""

from pydantic import Field, SecretStr

from services.platform.settings_payments import PaymentFields


class TraceFields(PaymentFields):
    """Where traces go, if anywhere."""

    otel_exporter_otlp_endpoint: str | None = Field(
        None, description="Collector of traces, OTLP over HTTP, e.g. http://127.0.0.1:4318; empty: no traces"
    )
    otel_exporter_otlp_headers: SecretStr | None = Field(
        None, description="Headers for the collector, name=value separated by commas, e.g. its key"
    )
    otel_traces_sampler_arg: float = Field(1.0, ge=0, le=1, description="Share of jobs that are traced")
