"""Events to an MQTT broker, and Home Assistant's discovery."""
