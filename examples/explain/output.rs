//! Output to the terminal.

/// Writes a line with its label. A line without a label continues the line above.
pub fn print_line(label: &str, text: &str) {
    println!("{label:<12}{text}");
}

/// Text from the event, without control characters.
pub fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|character| {
            if character.is_control() {
                character.escape_default().collect::<Vec<_>>()
            } else {
                vec![character]
            }
        })
        .collect()
}
