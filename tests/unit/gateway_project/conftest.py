from tests.django_api import anonymous, api, attach, gateway_settings, runtime

__all__ = ["anonymous", "api", "attach", "gateway_settings", "runtime"]
