"""Every sentence of the provider that is known: its code, its words, and the class they mean.

REPLIES are answers to a call, in the envelope; TASKS are `failCode` and `failMsg` of a task that failed.
"""

BALANCE = (
    "Credits insufficient : Your current balance isn't enough to run this request. Please top up to continue."
)
SERVER = "Server Error - An unexpected error occurred while processing the request"
MAINTAINED = "The server is currently being maintained, please try again later~"
FLOW = (
    "Your request was rejected by Flow({}). You may consider using our other fallback channels, "
    "which are likely to succeed. Please refer to the documentation."
)

REPLIES = [
    ("401", "You do not have access permissions", "provider_auth"),
    ("401", "Unauthorized", "provider_auth"),
    ("401", "Authentication failed: Invalid API Key", "provider_auth"),
    ("402", BALANCE, "provider_balance"),
    ("500", BALANCE, "provider_balance"),
    ("433", "", "provider_balance"),
    ("422", "The model name you specified is not supported.", "our_fault"),
    ("422", "ratio is not supported for image-to-video", "our_fault"),
    ("500", "image_urls is required", "our_fault"),
    ("500", "This field is required", "our_fault"),
    ("500", "prompt is required", "our_fault"),
    ("400", "taskId parameter is required", "our_fault"),
    ("400", "Missing required parameter: uploadPath", "our_fault"),
    ("400", "Base64 decoding failed: Invalid Base64 format", "our_fault"),
    ("404", "Task not found", "our_fault"),
    ("405", "Method Not Allowed", "our_fault"),
    ("422", "recordInfo is null", "our_fault"),
    ("500", "This interface is temporarily paused.", "model_paused"),
    ("505", "", "model_paused"),
    ("429", "Rate limit exceeded", "rate_limited"),
    ("429", "", "rate_limited"),
    ("455", MAINTAINED, "transient"),
    ("455", "", "transient"),
    ("500", SERVER, "transient"),
    ("500", "Internal server error", "transient"),
    ("500", "", "transient"),
    ("408", "", "transient"),
    ("550", "Connection Denied", "transient"),
    ("451", "Failed to fetch the image. Kindly verify any access limits set by you or your service provider.",
     "transient"),
    ("451", "", "transient"),
    ("500", "insufficient credits", "provider_balance"),
    ("404", "", "our_fault"),
    ("409", "", "transient"),
    ("505", "success", "model_paused"),
    ("500", "words that nobody has seen yet", "unclassified"),
    ("501", "", "unclassified"),
]  # fmt: skip

TASKS = [
    ("500", "This content may violate our guardrails concerning similarity to third-party content.",
     "user_violation"),
    ("500", "We currently do not support uploads of images containing photorealistic people.",
     "user_violation"),
    ("500", "Internal Error, Please try again later.", "transient"),
    ("500", "Internal server error", "transient"),
    ("500", MAINTAINED, "transient"),
    ("422", "task id is blank", "transient"),
    ("500", "The generation timed out", "transient"),
    ("500", "timeout while downloading", "transient"),
    ("500", "no results were returned", "transient"),
    ("402", BALANCE, "provider_balance"),
    ("500", "The input image may contain real person.", "user_violation"),
    ("400", "InputImageSensitiveContentDetected.PrivacyInformation", "user_violation"),
    ("400", "OutputVideoSensitiveContentDetected", "user_violation"),
    ("500", "The request violates Google's Generative AI Prohibited Use policy, please change the prompt.",
     "user_violation"),
    ("400", "Your prompt was flagged by Website as violating content policies.", "user_violation"),
    ("400", "Only English prompts are supported at this time.", "our_fault"),
    ("400", "public error unsafe image upload.", "user_violation"),
    ("422", FLOW.format("public error minor upload"), "user_violation"),
    ("422", FLOW.format("public error prominent people upload"), "user_violation"),
    ("422", "Ratio error", "bad_image"),
    ("422", "words that nobody has seen yet", "unclassified"),
    ("500", "words that nobody has seen yet", "unclassified"),
    ("500", "", "transient"),
]  # fmt: skip
