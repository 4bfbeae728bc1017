//! Chat templates: how the messages of a conversation become the prompt that a model was trained on.
//!
//! A template is a Jinja program, as transformers runs it, except that its days do not pass: `strftime_now` writes the
//! date of the variable `today`, or else one that is always the same.

mod day;
mod environment;
mod strings;

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail};
use minijinja::{Environment, context};
use serde::Deserialize;
use serde_json::Value;

use crate::folder::Folder;
use crate::model::Message;

const SETTINGS: &str = "tokenizer_config.json";
const TEMPLATE: &str = "chat_template.jinja";
const NAME: &str = "chat";

/// What a template may ask for besides the messages, such as `enable_thinking`.
pub type Variables = BTreeMap<String, Value>;

/// A model's template, with its special tokens.
pub struct Chat {
    environment: Environment<'static>,
    text: String,
    bos: String,
    /// The token that ends a turn, empty if unknown.
    pub eos: String,
    variables: Variables,
}

/// The fields of `tokenizer_config.json` that matter here.
#[derive(Default, Deserialize)]
struct Settings {
    chat_template: Option<Templates>,
    bos_token: Option<Token>,
    eos_token: Option<Token>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Templates {
    One(String),
    Several(Vec<Named>),
}

#[derive(Deserialize)]
struct Named {
    name: String,
    template: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Token {
    Text(String),
    Added { content: String },
}

impl Token {
    fn text(token: Option<Token>) -> String {
        token.map_or(String::new(), |(Token::Text(content) | Token::Added { content })| content)
    }
}

impl Chat {
    /// The template of a folder: `chat_template.jinja`, or else in `tokenizer_config.json`; None if it has none.
    ///
    /// # Errors
    /// A file cannot be read, or the template is not valid Jinja.
    pub fn load(folder: &Folder, variables: &Variables) -> Result<Option<Self>> {
        let settings = match folder.holds(SETTINGS) {
            false => Settings::default(),
            true => serde_json::from_str(&folder.read_text(SETTINGS)?)
                .with_context(|| format!("`{folder}/{SETTINGS}` does not describe a tokenizer"))?,
        };
        let text = match (folder.holds(TEMPLATE), settings.chat_template) {
            (true, _) => folder.read_text(TEMPLATE)?,
            (false, None) => return Ok(None),
            (false, Some(Templates::One(text))) => text,
            (false, Some(Templates::Several(named))) => {
                let names: Vec<_> = named.iter().map(|named| named.name.clone()).collect();
                let default = named.into_iter().find(|named| named.name == "default");
                let missing = || format!("`{folder}/{SETTINGS}`: expected a template `default`, found {names:?}");
                default.with_context(missing)?.template
            }
        };
        let (bos, eos) = (Token::text(settings.bos_token), Token::text(settings.eos_token));
        Chat::new(text, bos, eos, variables).with_context(|| format!("`{folder}`")).map(Some)
    }

    /// A template with the texts of the special tokens, empty if there are none.
    ///
    /// # Errors
    /// The template is not valid Jinja.
    pub fn new(text: String, bos: String, eos: String, variables: &Variables) -> Result<Self> {
        let mut environment = environment::environment();
        environment
            .add_template_owned(NAME, environment::without_marks(&text))
            .map_err(|error| anyhow!("the chat template cannot be read: {error}"))?;
        Ok(Chat { environment, text, bos, eos, variables: variables.clone() })
    }

    /// The prompt that asks for the next message. It holds all special tokens that the model expects.
    ///
    /// # Errors
    /// The template refuses the messages, in its own words, or uses something that does not exist.
    pub fn prompt(&self, messages: &[Message]) -> Result<String> {
        let context = context! {
            messages, add_generation_prompt => true, bos_token => self.bos, eos_token => self.eos,
            // Templates ask whether these are none, which something undefined is not.
            tools => (), documents => (),
            ..minijinja::Value::from_serialize(&self.variables)
        };
        match self.environment.get_template(NAME).and_then(|template| template.render(context)) {
            Ok(prompt) => Ok(prompt),
            Err(error) => bail!("the chat template refuses the messages: {error}"),
        }
    }

    /// What the prompts depend on besides the messages, to tell models apart.
    pub fn fingerprint(&self) -> String {
        let Chat { text, bos, eos, variables, .. } = self;
        format!("{text}\n{bos}\n{eos}\n{}", Value::from_iter(variables.clone()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Role;

    /// Like Qwen2's ChatML: adds a system message if there is none.
    const CHATML: &str = r#"{%- if messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}
{%- else %}
    {{- '<|im_start|>system\nYou help.<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == "user" or message.role == "system" and not loop.first or message.role == "assistant" and not message.tool_calls %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
"#;

    /// Like Qwen3's: reversed messages, a namespace, Python string methods, and thinking that is left out.
    const THINKING: &str = r#"{%- set ns = namespace(seeking=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.seeking and message.role == "user" and message.content is string and not(message.content.startswith('<tool>')) %}
        {%- set ns.seeking = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content %}
    {%- if message.role == "assistant" and '</think>' in content %}
        {%- set thoughts = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
        {%- set content = content.split('</think>')[-1].lstrip('\n') %}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\n' }}
    {%- if loop.index0 > ns.last and thoughts is defined %}
        {{- '<think>\n' + thoughts.strip('\n') + '\n</think>\n\n' }}
    {%- endif %}
    {{- content + '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}"#;

    /// Like Llama 3's: the text begins with the BOS, and with a date if there is a clock.
    const HEADERS: &str = r#"{{- bos_token }}
{%- if strftime_now is defined %}
    {%- set date = strftime_now("%d %b %Y") %}
{%- else %}
    {%- set date = "26 Jul 2024" %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\n\n" }}
{{- date + "\n" + system_message + eos_token }}
{%- for message in messages %}
    {%- if message['role'] == 'system' %}{{ raise_exception('Only one system message!') }}{% endif %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + eos_token }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
"#;

    fn messages(list: &[(Role, &str)]) -> Vec<Message> {
        list.iter().map(|(role, content)| Message { role: *role, content: (*content).into() }).collect()
    }

    fn render(template: &str, variables: Value, list: &[(Role, &str)]) -> Result<String> {
        let variables: Variables = serde_json::from_value(variables).unwrap();
        Chat::new(template.into(), "<s>".into(), "</s>".into(), &variables)?.prompt(&messages(list))
    }

    const SHORT: &[(Role, &str)] = &[(Role::System, " Be brief. "), (Role::User, "2 + 2 <= 5?")];

    #[test]
    fn templates_in_the_manner_of_the_families_are_rendered() {
        let check = |template: &str, variables: Value, list: &[(Role, &str)], expected: &str| {
            assert_eq!(render(template, variables, list).unwrap(), expected);
        };
        let turn = "<|im_start|>system\n Be brief. <|im_end|>\n<|im_start|>user\n2 + 2 <= 5?<|im_end|>\n<|im_start|>assistant\n";
        check(CHATML, json!({}), SHORT, turn);
        let alone =
            "<|im_start|>system\nYou help.<|im_end|>\n<|im_start|>user\n2 + 2 <= 5?<|im_end|>\n<|im_start|>assistant\n";
        check(CHATML, json!({}), &SHORT[1..], alone);
        check(THINKING, json!({}), SHORT, turn);
        check(THINKING, json!({"enable_thinking": true}), SHORT, turn);
        check(THINKING, json!({"enable_thinking": false}), SHORT, &format!("{turn}<think>\n\n</think>\n\n"));
        let long = [(Role::User, "a"), (Role::Assistant, "<think>\nhm\n</think>\n\nb"), (Role::User, "c")];
        let expected = "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n";
        check(THINKING, json!({}), &long, expected);
        let expected = "<s><|start_header_id|>system<|end_header_id|>\n\n26 Jul 2024\nBe brief.</s><|start_header_id|>user<|end_header_id|>\n\n2 + 2 <= 5?</s><|start_header_id|>assistant<|end_header_id|>\n\n";
        check(HEADERS, json!({}), SHORT, expected);
        let another_day = expected.replace("26 Jul 2024", "01 Dec 2026");
        check(HEADERS, json!({"today": "2026-12-01"}), SHORT, &another_day);
    }

    #[test]
    fn a_template_may_refuse() {
        let error = render(HEADERS, json!({}), &[SHORT[0], SHORT[0]]).unwrap_err().to_string();
        assert!(error.contains("refuses the messages") && error.contains("Only one system message!"), "{error}");
        let error = render("{% if %}", json!({}), SHORT).unwrap_err().to_string();
        assert!(error.contains("cannot be read"), "{error}");
        let error = render("{{ strftime_now('%Q') }}", json!({}), SHORT).unwrap_err().to_string();
        assert!(error.contains("found `%Q`"), "{error}");
    }

    #[test]
    fn is_found_where_transformers_puts_it() {
        let check = |files: &[(&str, &str)], expected: Result<Option<&str>, &str>| {
            let folder = tempfile::tempdir().unwrap();
            files.iter().for_each(|(file, text)| std::fs::write(folder.path().join(file), text).unwrap());
            match (Chat::load(&Folder::Disk(folder.path().into()), &Variables::new()), expected) {
                (Ok(found), Ok(expected)) => {
                    let found = found.map(|chat| chat.prompt(&messages(&SHORT[1..])).unwrap());
                    assert_eq!(found.as_deref(), expected, "{files:?}");
                }
                (Err(error), Err(part)) => assert!(format!("{error:#}").contains(part), "{error:#}"),
                (found, expected) => panic!("{files:?}: expected {expected:?}, found {:?}", found.map(|_| ())),
            }
        };
        let one = r#"{"chat_template": "{{ bos_token }}one", "bos_token": {"content": "<s>", "special": true}}"#;
        let named = r#"{"chat_template": [{"name": "tools", "template": "t"}, {"name": "default", "template": "d"}]}"#;
        check(&[], Ok(None));
        check(&[(SETTINGS, r#"{"bos_token": "<s>"}"#)], Ok(None));
        check(&[(SETTINGS, one)], Ok(Some("<s>one")));
        check(&[(SETTINGS, named)], Ok(Some("d")));
        check(&[(SETTINGS, one), (TEMPLATE, "file {{ bos_token }}")], Ok(Some("file <s>")));
        check(&[(SETTINGS, &named.replace("default", "rag"))], Err("expected a template `default`"));
        check(&[(SETTINGS, "{")], Err("does not describe a tokenizer"));
        check(&[(TEMPLATE, "{{")], Err("cannot be read"));
    }

    /// `LAMAS_TEMPLATES` names a folder with templates (`NAME.jinja`), and what transformers makes of conversations
    /// (`NAME.json`: a list of `messages` and what is `expected`, null if refused).
    #[test]
    fn real_templates_give_the_prompts_of_transformers() {
        #[derive(Deserialize)]
        struct Case {
            messages: Vec<BTreeMap<String, String>>,
            expected: Option<String>,
        }
        let Some(folder) = std::env::var_os("LAMAS_TEMPLATES") else {
            println!("skipped: set LAMAS_TEMPLATES to test real chat templates");
            return;
        };
        let mut faults = Vec::new();
        let mut checked = 0;
        for path in std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()) {
            let Ok(text) = std::fs::read_to_string(path.with_extension("jinja")) else { continue };
            let Ok(cases) = std::fs::read_to_string(path.with_extension("json")) else { continue };
            let cases: Vec<Case> = serde_json::from_str(&cases).unwrap();
            if path.extension().is_some_and(|ending| ending == "json") {
                continue;
            }
            for Case { messages, expected } in cases {
                let variables = Variables::from([("enable_thinking".to_owned(), false.into())]);
                let role = |name: &str| serde_json::from_value::<Role>(name.into()).unwrap();
                let messages: Vec<Message> = messages
                    .iter()
                    .map(|message| Message { role: role(&message["role"]), content: message["content"].clone() })
                    .collect();
                let found = Chat::new(text.clone(), "<s>".into(), "</s>".into(), &variables)
                    .and_then(|chat| chat.prompt(&messages));
                checked += 1;
                if found.as_ref().ok() != expected.as_ref() {
                    faults.push(format!("{}: {found:?}, expected {expected:?}", path.display()));
                }
            }
        }
        assert!(faults.is_empty() && checked > 0, "{} of {checked}:\n{}", faults.len(), faults.join("\n"));
    }
}
