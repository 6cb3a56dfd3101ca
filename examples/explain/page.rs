//! What is written, and how it looks.

use chime_message_status::domain::AppInstanceUserArn;

/// Writes a line with its label, or without one where it belongs to the line above.
pub fn say(label: &str, text: &str) {
    println!("{label:<12}{text}");
}

/// Text from the event, with nothing in it that a terminal would act on.
pub fn shown(text: &str) -> String {
    text.chars()
        .flat_map(|character| match character.is_control() {
            true => character.escape_default().collect::<Vec<_>>(),
            false => vec![character],
        })
        .collect()
}

/// The ARN of the user's app instance.
pub fn app_instance(user: &AppInstanceUserArn) -> &str {
    let segments = user.as_str().rsplitn(3, '/');
    segments.last().unwrap_or_default()
}
