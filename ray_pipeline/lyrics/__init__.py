"""The shelf of transcribers: who hears the words. To add one: a file with its class and `Params`, and a line here."""

TRANSCRIBERS = {
    "faster-whisper": "ray_pipeline.lyrics.faster_whisper:FasterWhisper",
    "openai-whisper": "ray_pipeline.lyrics.openai_whisper:OpenAIWhisper",
    "none": "ray_pipeline.lyrics.none:NoLyrics",
}
