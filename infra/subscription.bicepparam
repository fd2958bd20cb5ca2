// What the second phase takes from the outputs of the first, which azd keeps in its environment.
using 'subscription.bicep'

param systemTopicIds = json(readEnvironmentVariable('SYSTEM_TOPIC_IDS'))
param functionAppId = readEnvironmentVariable('FUNCTION_APP_ID')
param storageAccountId = readEnvironmentVariable('STORAGE_ACCOUNT_ID')
param deadLetterContainer = readEnvironmentVariable('DEAD_LETTER_CONTAINER')
param eventQueue = readEnvironmentVariable('EVENT_QUEUE')
param delivery = readEnvironmentVariable('EVENT_DELIVERY')
param subscriptionName = readEnvironmentVariable('ROLLOUTS_SUBSCRIPTION_NAME', 'rollouts')
param models = json(readEnvironmentVariable('ROLLOUTS_MODELS', '[]'))
